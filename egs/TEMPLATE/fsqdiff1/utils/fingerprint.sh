# Whether a file was made of the same inputs. Sourced by study.sh and token2wav.sh.

fingerprint() { # <word>... : of the words, and of the content of those that are files
    local word
    for word in "$@"; do
        echo "${word}"
        [ ! -f "${word}" ] || cat "${word}"
    done | sha256sum
}
made_file() { # <output> : where the fingerprint of its inputs is kept
    echo "$(dirname "$1")/.done_$(basename "$1")"
}
