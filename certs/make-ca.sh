#!/bin/sh
# Makes the certificate authority that `understudy ca create` makes, with OpenSSL (1.1.1 or later) alone.
# It can sign for the hosts that are named and nothing else: see README.md beside this file.
set -eu

usage() {
    echo "usage: make-ca.sh FOLDER [HOST...]" >&2
    echo "makes mitmproxy-ca.pem and mitmproxy-ca-cert.pem in FOLDER, for api.openai.com unless hosts are named" >&2
    exit 2
}

fail() {
    echo "make-ca.sh: $1" >&2
    exit 1
}

[ $# -ge 1 ] || usage
case $1 in '' | -*) usage ;; esac
folder=$1
shift
[ $# -ge 1 ] || set -- api.openai.com

names=''
for host; do
    # No address, no wildcard, and nothing that the configuration below could take for more than a name.
    case $host in
    '' | .* | *. | *..* | *[!A-Za-z0-9.-]*) fail "not a host name: $host" ;;
    *[!0-9.]*) ;;
    *) fail "an address is no host name: $host" ;;
    esac
    names="${names}permitted;DNS.$((${#names} + 1)) = $host
"
done

umask 077
mkdir -p "$folder"
key_file=$folder/mitmproxy-ca.pem
certificate_file=$folder/mitmproxy-ca-cert.pem
for file in "$key_file" "$certificate_file"; do
    if [ -e "$file" ] || [ -L "$file" ]; then fail "$file is there already; move it away"; fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

cat >"$work/profile" <<END
[req]
distinguished_name = none
prompt = no
[none]
[root]
basicConstraints = critical, CA:true, pathlen:1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
keyUsage = critical, keyCertSign, cRLSign
extendedKeyUsage = serverAuth
nameConstraints = critical, @names
[signing]
basicConstraints = critical, CA:true, pathlen:0
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
keyUsage = critical, keyCertSign, cRLSign
extendedKeyUsage = serverAuth
nameConstraints = critical, @names
[names]
${names}permitted;email.1 = invalid
permitted;URI.1 = invalid
excluded;IP.1 = 0.0.0.0/0.0.0.0
excluded;IP.2 = 0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0
END

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve; }

# The keys are in variables and pipes alone: the root's is never in a file, nor in the arguments of a process.
root_key=$(new_key)
key=$(new_key)
id=$(echo "$root_key" | openssl pkey -pubout -outform DER | openssl dgst -sha256 | sed 's/.*[= ]//' | cut -c 1-8)

echo "$root_key" | openssl req -x509 -new -key /dev/stdin -sha256 -days 365 -subj "/CN=Understudy $id" \
    -config "$work/profile" -extensions root -out "$work/root"
echo "$key" | openssl req -new -key /dev/stdin -sha256 -subj "/CN=Understudy $id proxy" \
    -config "$work/profile" -out "$work/request"
echo "$root_key" | openssl x509 -req -in "$work/request" -sha256 -days 365 -CA "$work/root" -CAkey /dev/stdin \
    -set_serial "0x$(openssl rand -hex 15)" -extfile "$work/profile" -extensions signing -out "$work/signing" 2>"$work/said" ||
    fail "$(cat "$work/said")"
unset root_key

set -C # What has appeared meanwhile is not overwritten either.
{
    echo "$key"
    cat "$work/signing" "$work/root"
} >"$key_file"
cat "$work/root" >"$certificate_file"
echo "made $key_file, whose key stays with you, and $certificate_file, for programs to trust"
