# Let a key log in. Variables: key (a line for authorized_keys).
cd && mkdir -p .ssh && chmod 700 .ssh || exit
file=.ssh/authorized_keys
[ -e "$file" ] || : >"$file" || exit
# By the key alone: the same one may stand there with options, or with another comment.
words=$(printf '%s\n' "$key" | cut -d ' ' -f 1,2)
if grep -qsF "$words" "$file"; then
    say "known yes"
else
    [ -z "$(tail -c 1 "$file")" ] || echo >>"$file" || exit
    printf '%s\n' "$key" >>"$file" || exit
    say "added yes"
fi
chmod 600 "$file"
# sshd ignores the file then; but whose home may be written to is not for us to change.
case $(ls -ld . | cut -c 6,9) in
*w*) say "writable yes" ;;
esac
