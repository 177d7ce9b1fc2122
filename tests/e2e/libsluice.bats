#!/usr/bin/env bats
# libsluice.so as others get it: installed into an empty prefix, found by pkg-config and CMake,
# compiled against in C and C++, compared with `sluice enrich`.
load lib.bash
load llm.bash
load libsluice.bash

setup_file() { install_library; }

# The fenced block between two marks of the document.
from_document() { # MARK
  sed -n "/<!-- $1 begin -->/,/<!-- $1 end -->/p" "$ROOT/docs/LIBRARY.md" | sed '/^<!--/d; /^```/d'
}

@test "libsluice: the library shows its seven functions and nothing else" {
  nm -D --defined-only "$PREFIX/lib/libsluice.so" | awk '$2 != "A" { print $2, $3 }' | sed 's/@.*//' | sort >shown
  diff shown - <<'END'
T sluice_abi
T sluice_batch_free
T sluice_close
T sluice_enrich
T sluice_open
T sluice_results
T sluice_version
END
  readelf -d "$PREFIX/lib/libsluice.so" | grep -q 'SONAME.*\[libsluice.so.1\]'
  grep -qx '#define SLUICE_ABI 1' "$PREFIX/include/sluice.h"
}

@test "libsluice: the example of the document compiles, runs and prints what the document says" {
  from_document "library example" >example.c
  compile cc -std=c11 -Wall -Wextra -Werror example.c -o example
  ./example >printed
  from_document "library output" | diff - printed
  run -78 ./example nowhere.yml
  grep -q nowhere.yml <<<"$output"
}

@test "libsluice: CMake finds the package, and C++ takes the header" {
  from_document "library example" >example.c
  cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.25)
project(user C CXX)
find_package(sluice 0.1 REQUIRED)
add_executable(in_c example.c)
target_link_libraries(in_c sluice::sluice)
add_executable(in_cxx user.cpp)
target_compile_options(in_cxx PRIVATE -Wall -Wextra -Wpedantic -Werror)
target_link_libraries(in_cxx sluice::sluice)
END
  cat >user.cpp <<'END'
#include <sluice.h>
#include <cstdio>
#include <string>
#include <vector>
int main()
{
    sluice *s = nullptr;
    sluice_batch *batch = nullptr;
    std::string why(SLUICE_WHY_MAX, '\0'), text = "{\"id\":7,\"text\":\"great\"}";
    std::vector<sluice_post> posts(3, sluice_post{text.data(), text.size()});
    if (sluice_open(nullptr, nullptr, &s, &why[0]) != SLUICE_OK ||
        sluice_enrich(s, posts.data(), posts.size(), &batch, &why[0]) != SLUICE_OK) {
        std::puts(why.c_str());
        return 1;
    }
    for (std::size_t i = 0; i < posts.size(); i++)
        std::puts(std::string(sluice_results(batch)[i].value, sluice_results(batch)[i].size).c_str());
    sluice_batch_free(batch);
    sluice_close(s);
}
END
  cmake -B b -DCMAKE_PREFIX_PATH="$PREFIX" -DCMAKE_C_FLAGS="$SANITIZE" -DCMAKE_CXX_FLAGS="$SANITIZE" >cmake.log
  cmake --build b >>cmake.log
  [ "$(./b/in_c | wc -l)" -eq 2 ]
  [ "$(./b/in_cxx | jq -c '[.id, (.enrichment | keys | length)]' | sort -u)" = "[7,3]" ]
}

@test "libsluice: enriched bytes and dead letters are those of sluice enrich" {
  { posts 1 2000; cat "$ROOT/stages/source/posts.jsonl"; } >good.jsonl
  printf '%s\n' 'nonsense' '{"id":1}' '{"text":"x"}' '{"id":1,"text":"a","text":"b"}' '{"id":[],"text":"b"}' \
    '{"id":"é","text":"\u00e9 \ud83d\ude00","enrichment":{"old":1},"rest":[1,2]}' '[1]' | cat good.jsonl - >in.jsonl
  "$SLUICE" enrich in.jsonl --dead theirs.dead >theirs || [ $? -eq 1 ]
  user --batch 500 <in.jsonl >ours 2>ours.dead
  cmp ours theirs
  [ "$(wc -l <ours)" -eq $(($(wc -l <good.jsonl) + 1)) ]
  jq -r '"\(.line) \(.reason): \(.message)"' theirs.dead | diff - ours.dead
  [ "$(wc -l <ours.dead)" -eq 6 ]
}

@test "libsluice: the same with a YAML file and an LLM, and both share what was paid" {
  llm --delay 20
  posts 1 300 >in.jsonl
  printf 'enricher: openai\nllm-url: %s\nllm-concurrency: 64\n' "$LLM" >sluice.yml
  user --config sluice.yml --batch 300 <in.jsonl >ours
  [ "$(stat_of calls)" -eq 300 ]
  "$SLUICE" enrich --config sluice.yml in.jsonl >theirs
  cmp ours theirs
  [ "$(stat_of calls)" -eq 300 ]
}

@test "libsluice: with the embedded broker in its configuration it shares the answers of enhance" {
  llm --delay 2
  posts 1 100 | "$SLUICE" source --from - --quiet
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM"
  [ "$(stat_of calls)" -eq 100 ]
  values enhanced_posts | sort >theirs
  posts 1 100 | user --set broker=sqlite:sluice.db --set enricher=openai --set "llm-url=$LLM" | sort | cmp - theirs
  [ "$(stat_of calls)" -eq 100 ]
}

@test "libsluice: many threads at once get each their own results" {
  llm --delay 5 --error-rate 0.05 --error-status 500
  posts 1 1200 >in.jsonl
  user --threads 12 --batch 50 --set workers=2 --set enricher=openai --set "llm-url=$LLM" --set llm-attempts=20 <in.jsonl >ours
  ids <ours | sort -n | cmp - <(seq 1 1200)
  "$SLUICE" enrich --enricher openai --llm-url "$LLM" in.jsonl | sort | cmp - <(sort ours)
  [ "$(stat_of repeated_ok)" -eq 0 ]
  user --threads 16 --batch 7 --set workers=3 <in.jsonl | ids | sort -n | cmp - <(seq 1 1200)
}

@test "libsluice: a process that dies after its batch has paid for nothing twice" {
  llm --delay 2
  posts 1 200 >in.jsonl
  run -137 user --die --batch 200 --set enricher=openai --set "llm-url=$LLM" <in.jsonl
  [ "$(stat_of calls)" -eq 200 ]
  user --batch 200 --set enricher=openai --set "llm-url=$LLM" <in.jsonl | ids | cmp - <(seq 1 200)
  [ "$(stat_of calls)" -eq 200 ]
}

@test "libsluice: what is wrong with the configuration is said, and nothing else is" {
  run -78 user --set enricher=openay </dev/null
  [[ $output == *'enricher: bad value "openay" (setting of the program): expected'* ]]
  SLUICE_ENRICHR=mock run -78 user </dev/null
  [[ $output == *"environment SLUICE_ENRICHR: no such option; did you mean SLUICE_ENRICHER?"* ]]
  printf 'enricher: mock\nworkers: [1]\n' >bad.yml
  run -78 user --config bad.yml </dev/null
  [[ $output == *"bad.yml line 2"* ]]
  [ "${#lines[@]}" -eq 1 ]
  llm --api-key right
  posts 1 5 >in.jsonl
  run -77 user --set enricher=openai --set "llm-url=$LLM" --set llm-key=canary <in.jsonl
  [[ $output == *"is the key right"* && $output != *canary* ]]
  [ "${#lines[@]}" -eq 1 ]
}

@test "libsluice: it takes every option that the program has" {
  "$SLUICE" config >all.yml
  [ "$(wc -l <all.yml)" -gt 80 ]
  posts 1 3 | user --config all.yml | ids | cmp - <(seq 1 3)
}

@test "libsluice: Python calls it by ctypes" {
  [ -z "$SANITIZE" ] || skip "Python is built without sanitizers"
  cat >user.py <<'END'
import ctypes as c
class Post(c.Structure):
    _fields_ = [("value", c.c_char_p), ("size", c.c_size_t)]
class Result(c.Structure):
    _fields_ = [("kind", c.c_int), ("value", c.c_void_p), ("size", c.c_size_t),
                ("reason", c.c_char_p), ("message", c.c_char_p)]
lib = c.CDLL("libsluice.so.1")
lib.sluice_results.restype = c.POINTER(Result)
why, s, batch = c.create_string_buffer(512), c.c_void_p(), c.c_void_p()
settings = (c.c_char_p * 2)(b"mock-latency=1ms", None)
assert lib.sluice_open(None, settings, c.byref(s), why) == 0, why.value
lines = [b'{"id":1,"text":"good"}', b"bad"]
posts = (Post * 2)(*[Post(x, len(x)) for x in lines])
assert lib.sluice_enrich(s, posts, c.c_size_t(2), c.byref(batch), why) == 0, why.value
for i in range(2):
    r = lib.sluice_results(batch)[i]
    print(r.kind, c.string_at(r.value, r.size).decode(), r.reason.decode())
lib.sluice_batch_free(batch)
lib.sluice_close(s)
END
  python3 user.py >printed
  grep -q '^0 {"id":1,"text":"good","enrichment":{' printed
  grep -qx '1 bad json_invalid' printed
}
