# Take files. Reads, for each, a line "offset count sha256 path" and then count bytes that belong at the offset. What is
# cut off stays, to be continued. A file is checked while the next one arrives.
mkdir -p "$folder" && cd "$folder" || exit

take() { # count bytes of stdin, and not one more: head would read ahead
    blocks=$(($1 / 1048576))
    rest=$(($1 % 1048576))
    [ $blocks -eq 0 ] || dd bs=1048576 count=$blocks iflag=fullblock 2>/dev/null || return
    [ $rest -eq 0 ] || dd bs=$rest count=1 iflag=fullblock 2>/dev/null
}

finish() { # path, size, sha256
    if [ "$(sha256sum <"$1.part" | sed 's/ .*//')" != "$3" ]; then
        # Short only if the link was cut: then what has come is right as far as it goes.
        [ "$(wc -c <"$1.part")" -lt "$2" ] || rm -f "$1.part"
        say "wrong $1"
        return
    fi
    case $1 in
    bin/*.gz)
        program=${1%.gz}
        gzip -dc <"$1.part" >"$program.arriving" && chmod 700 "$program.arriving" &&
            mv "$program.arriving" "$program" && rm -f "$1.part" && say "got $1" || { say "full yes"; rm -f "$program.arriving"; }
        ;;
    *) mv "$1.part" "$1" && say "got $1" ;;
    esac
}

while read -r offset count sha256 path; do
    mkdir -p "${path%/*}" || exit
    [ "$offset" -gt 0 ] || : >"$path.part" || exit
    if ! take "$count" >>"$path.part"; then
        say "full yes"
        exit 1
    fi
    finish "$path" $((offset + count)) "$sha256" </dev/null &
done
wait
