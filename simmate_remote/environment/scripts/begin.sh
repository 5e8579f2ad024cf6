# Every script begins with this.
LC_ALL=C
export LC_ALL
umask 077
unset CDPATH
case $folder in
"~/"*) folder=$HOME/${folder#??} ;;
esac
printf '\n%s\n' "$nonce"
# The names that setup gives, as patterns: what else is in our folder is somebody's, should it not be ours alone.
hex4='[0-9a-f][0-9a-f][0-9a-f][0-9a-f]'
hex16=$hex4$hex4$hex4$hex4
hex16_8=$hex16-$hex4$hex4
say() { printf '%s\n' "$*"; }
