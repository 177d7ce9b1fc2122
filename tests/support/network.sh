# Ports and certificates for tests; sourced by shells. Certificates are made in the current folder.

# A port that nobody listens on now. Two tests may pick the same: then start tries again.
free_port() {
    local port
    while :; do
        port=$((15000 + (RANDOM * 32768 + RANDOM) % 16000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

# make_ca NAME: NAME.pem and NAME.key, trusted by nobody yet.
make_ca() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=sluice test $1" \
        -keyout "$1.key" -out "$1.pem"
}

# make_certificate CA NAME SUBJECT_ALT_NAMES [OPTION...]: NAME.pem, signed by CA, and its key in
# NAME.plain. An option of `openssl x509` wins over those here: -days -1 makes one that has expired.
make_certificate() {
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$2" -keyout "$2.plain" -out "$2.csr" &&
        openssl x509 -req -in "$2.csr" -CA "$1.pem" -CAkey "$1.key" -CAcreateserial -days 2 \
            -extfile <(echo "subjectAltName=$3") -out "$2.pem" "${@:4}"
}
