# Take files. Reads, for each, a line "offset count sha256 path" and then count bytes that belong at the offset. What is
# cut off stays, to be continued. A file is checked while the next one arrives.
mkdir -p "$folder" && cd "$folder" || exit

take() { # count bytes of stdin, and not one more: head would read ahead
    blocks=$(($1 / 1048576))
    rest=$(($1 % 1048576))
    [ $blocks -eq 0 ] || dd bs=1048576 count=$blocks iflag=fullblock 2>/dev/null || return
    [ $rest -eq 0 ] || dd bs=$rest count=1 iflag=fullblock 2>/dev/null
}

finish() { # what has arrived, path, size, sha256
    if [ "$(sha256sum <"$1" | sed 's/ .*//')" != "$4" ]; then
        # Short only if the link was cut: then what has come is right as far as it goes.
        if [ "$(wc -c <"$1")" -lt "$3" ]; then mv "$1" "$2.part"; else rm -f "$1"; fi
        say "wrong $2"
        return
    fi
    case $2 in
    bin/*.gz)
        gzip -dc <"$1" >"$1.arriving" && chmod 700 "$1.arriving" && mv "$1.arriving" "${2%.gz}" && say "got $2" || say "full yes"
        rm -f "$1" "$1.arriving"
        ;;
    *) mv "$1" "$2" && rm -f "$2.part" && say "got $2" ;;
    esac
}

while read -r offset count sha256 path; do
    mkdir -p "${path%/*}" || exit
    # Under a name of its own while it arrives: two setups, of two machines of one person, may send the same.
    arriving=$path.$$
    trap 'mv "$arriving" "$path.part" 2>/dev/null; exit 1' HUP INT TERM
    [ "$offset" -gt 0 ] && mv "$path.part" "$arriving" 2>/dev/null || : >"$arriving" || exit
    if ! take "$count" >>"$arriving"; then
        say "full yes"
        exit 1
    fi
    finish "$arriving" "$path" $((offset + count)) "$sha256" </dev/null &
done
wait
