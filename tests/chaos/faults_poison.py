"""Records that no post should be: each becomes a dead letter with the right reason, and the posts
around them come out."""
import os
import re
import sqlite3

from faults import fault
from faults_process import begin
from world import expect

GOOD = None

# The classes of JSONTestSuite (n_ and i_), as the value of a record and as a member of a post.
BROKEN = [b"[", b"]", b"{", b"}", b"[1,]", b"[,1]", b"[1 2]", b'["a" 1]', b"[1,,2]", b'{"a":1,}', b'{"a"}', b'{"a":}',
          b'{"a" 1}', b"{a:1}", b"{1:1}", b"{'a':1}", b'{"a":1 "b":2}', b'["a', b'"a', b'a"', b'"\\x"', b'"\\u12"',
          b'"\\uZZZZ"', b'"\\', b'"\t"', b'"\n"', b'"\x00"', b'"\x1f"', b"+1", b"01", b"-", b"-01", b"1.", b".5", b"1e",
          b"1e+", b"0x1", b"NaN", b"Infinity", b"-Infinity", b"1_000", b"tru", b"True", b"nul", b"falsey", b"/* c */ 1",
          b"1 // c", b"# 1", b"1 1", b"[1]]", b"{}}", b"\xef\xbb\xbf{}", b"\xff", b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"',
          b'"\xf4\x90\x80\x80"', b'"\xe2\x82"', b"\x00", b"\x00\x00\x00\x00\x01abc", b"\xfe\xff\x00{\x00}", b"{]", b"[}"]

WHOLE = [  # (what, value, reason)
    ("empty", b"", "json_invalid"), ("null value", None, "value_null"), ("white space", b" \n", "json_invalid"),
    ("a number", b"1", "post_not_object"), ("a string", b'"x"', "post_not_object"), ("a list", b"[]", "post_not_object"),
    ("null", b"null", "post_not_object"), ("no id", b'{"text":"x"}', "id_missing"),
    ("id null", b'{"id":null,"text":"x"}', "id_type"), ("id list", b'{"id":[1],"text":"x"}', "id_type"),
    ("no text", b'{"id":1}', "text_missing"), ("text number", b'{"id":1,"text":1}', "text_type"),
    ("id twice", b'{"id":1,"id":2,"text":"x"}', "member_duplicate"),
    ("id twice, escaped", b'{"id":1,"\\u0069d":2,"text":"x"}', "member_duplicate"),
    ("text twice", b'{"id":1,"text":"x","text":"y"}', "member_duplicate"),
    ("enrichment twice", b'{"id":1,"text":"x","enrichment":1,"enrichment":2}', "member_duplicate"),
    ("100,000 lists", b'{"id":1,"text":"x","v":' + b"[" * 100000 + b"]" * 100000 + b"}", "json_too_deep"),
    ("100,000 objects", b'{"id":1,"text":"x","v":' + b'{"a":' * 100000 + b"1" + b"}" * 100000 + b"}", "json_too_deep"),
    ("100,000 lists that do not end", b"[" * 100000, "json_too_deep"),
    ("10^6 digits", b'{"id":1,"text":"x","v":' + b"7" * 10**6 + b"}", GOOD),
    ("10^6 digits after the point", b'{"id":1,"text":"x","v":0.' + b"3" * 10**6 + b"}", GOOD),
    ("10^6 digits and no end", b'{"id":1,"text":"x","v":' + b"7" * 10**6, "json_invalid"),
    ("id of 10^5 digits", b'{"id":' + b"9" * 10**5 + b',"text":"x"}', GOOD),
    ("exponent of 10^5 digits", b'{"id":1,"text":"x","v":1e' + b"9" * 10**5 + b"}", GOOD),
    ("lone surrogates", b'{"id":1,"text":"\\ud800 \\udc00"}', GOOD), ("1e400", b'{"id":1,"text":"x","v":1e400}', GOOD),
    ("text of 10^6 quotes", b'{"id":1,"text":"' + b'\\"' * 500000 + b'"}', GOOD),
    ("text of NUL escapes", b'{"id":1,"text":"' + b"\\u0000" * 1000 + b'"}', GOOD),
    ("empty text", b'{"id":"","text":""}', GOOD), ("enrichment null", b'{"id":1,"text":"x","enrichment":null}', GOOD),
]


def records():
    for text in BROKEN:
        inside = b'{"id":1,"text":"x","v":' + text + b"}"
        yield f"{text[:20]!r}", text, "json_invalid"
        # A brace or a list that is closed by what stands around it would be no error.
        if text not in (b"}", b"{}}"):
            yield f"a member {text[:20]!r}", inside, "json_invalid"
    yield from WHOLE


def post_of(size):
    head, tail = b'{"id":1,"text":"x","v":"', b'"}'
    return head + b"s" * (size - len(head) - len(tail)) + tail


LARGE = [
    ("as large as a post may be", post_of(1 << 20), GOOD),
    ("a byte more than a post may have", post_of((1 << 20) + 1), "post_too_large"),
    ("almost as large as the topic takes", post_of((4 << 20) - 120), "post_too_large"),
]


@fault("poison records", short={"sqlite": {}, "kafka": {}}, long={})
def poison(w):
    begin(w, 0, partitions=1)
    return feed_and_judge(w, list(records()) + LARGE)


@fault("outputs that outgrow the topic", sqlite=False, short={}, long={})
def outgrown(w):
    """The raw topic takes the post, the enriched one is a little too large; so is its dead letter."""
    begin(w, 0, partitions=1)
    return feed_and_judge(w, [
        ("fits", post_of((4 << 20) - 2000), GOOD),
        ("its output does not fit", post_of((4 << 20) - 200), "output_too_large"),
        ("nor does a letter with its value", post_of((4 << 20) - 120), "output_too_large"),
    ], "--post-max-bytes", "8MiB")


def feed_and_judge(w, cases, *args):
    sent = []
    for what, value, reason in cases:
        sent.append((what, value, reason))
        sent.append(("a post", b'{"id":1,"text":"between"}', GOOD))
    w.feed_bytes([(b"k", value) for _, value, _ in sent])
    w.tries = len(cases)
    proc = w.enhance("one", *args)
    w.drain_args = args
    found = w.verdict(decided=("I1", "I3", "I5"))
    expect("SIG" not in proc.text(), proc.tail())
    reasons = reasons_of(w)
    first = 0 if w.kafka else 1  # a row that is inserted by hand into an empty table
    for offset, (what, _, reason) in enumerate(sent, first):
        got = reasons.get(offset)
        expect(got == reason, what, "at", offset, "became", got or "an output", "and should be",
               reason or "an output")
    counts = {}
    for reason in reasons.values():
        counts[reason] = counts.get(reason, 0) + 1
    w.notes.append("dead letters: " + ", ".join(f"{r} {n}" for r, n in sorted(counts.items())))
    return found


def reasons_of(w):
    """Raw offset -> reason, read from the dead letters by sqlite3 or kcat."""
    pattern = re.compile(re.escape(w.raw) + r"/0/(\d+).*?sluice-error-reason.([a-z_]+)", re.S)
    if w.kafka:
        texts = w.kcat(w.dead, "@@record %h\n").split("@@record ")[1:]
    else:
        with sqlite3.connect(w.db()) as db:
            texts = [blob.decode(errors="replace") for (blob,) in db.execute(f'SELECT headers FROM "{w.dead}/0"')]
    found = {}
    for text in texts:
        match = pattern.search(text)
        expect(match, "a dead letter without place or reason:", text[:200])
        found[int(match[1])] = match[2]
    return found


@fault("lines that are no posts, through a source", short={"sqlite": {}}, long={})
def poison_source(w):
    """The source puts them into the dead letters with the line's number; the others go on."""
    begin(w, 0)
    path = os.path.join(w.dir, "lines")
    bad = [t for t in BROKEN if b"\n" not in t and t.strip()]
    with open(path, "wb") as file:
        for text in bad:
            file.write(text + b"\n" + b'{"id":1,"text":"between"}\n')
        file.write(b'{"id":2,"text":"' + b"x" * (3 << 20) + b'"}\n')
    w.run("source", "--from", path)
    w.tries = len(bad) + 1
    raw = w.run("tap", w.raw, "--from", "start").count("\n")
    expect(raw == len(bad), "sent", raw, "of", len(bad), "good lines")
    listed = w.run("dlq", "list", "--json")
    expect(f'"count":{len(bad) + 1}' in listed.replace(" ", ""), "dead letters:", listed)
    return w.verdict()
