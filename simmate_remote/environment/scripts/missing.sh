# Which files are here. Reads lines "sha256 size path", paths relative to our folder; says what is whole, and what is
# the beginning of a file that was cut off.
cd "$folder" 2>/dev/null || exit 0
digest() { sha256sum <"$1" | sed 's/ .*//'; }
while read -r sha256 size path; do
    # Another setup that ends meanwhile clears away what nobody has wanted for an hour.
    touch -c "${path%/*}" 2>/dev/null
    if [ -f "$path" ]; then
        if [ "$(digest "$path")" = "$sha256" ]; then
            say "have $path"
        else
            rm -f "$path"
        fi
    elif [ -f "$path.part" ]; then
        say "part $(wc -c <"$path.part" | tr -d ' ') $(digest "$path.part") $path"
    fi
done
