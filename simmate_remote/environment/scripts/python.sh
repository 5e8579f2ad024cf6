# Install an interpreter. Variables: minor (which one), uv (the version of the uv that was sent), archive (the file with
# an interpreter that was sent; empty: let uv fetch one, if this machine has internet).
mkdir -p "$folder/pythons" && cd "$folder" && folder=$(pwd -P) || exit
# One that does not run any more is in the way, and uv takes it for whole: scratch disks lose old files by themselves.
for each in pythons/cpython-"$minor".*; do
    [ -d "$each" ] && [ ! -L "$each" ] || continue
    "$each/bin/python$minor" -I -c 'import ssl' >/dev/null 2>&1 </dev/null || rm -rf "$each"
done
if [ -n "$archive" ]; then
    arriving=pythons/.arriving-$$
    mkdir "$arriving" && gzip -dc <"$archive" | tar -xf - -C "$arriving" && mv "$arriving"/* pythons/
    rm -rf "$arriving" "$archive"
else
    # Three seconds tell whether there is internet; what is fetched may take longer.
    UV_NO_CONFIG=1 UV_NO_PROGRESS=1 UV_HTTP_CONNECT_TIMEOUT=3 UV_HTTP_TIMEOUT=30 UV_HTTP_RETRIES=0 UV_CACHE_DIR="$folder/pythons/.cache" \
        timeout 300 "bin/uv-$uv" --quiet python install --no-bin --install-dir "$folder/pythons" "$minor" </dev/null >&2
    rm -rf "$folder/pythons/.cache"
fi
for each in "$folder"/pythons/*/bin/python"$minor"; do
    if found=$("$each" -I -c 'import os, sys; print(os.path.realpath(sys.executable))' 2>&1 </dev/null); then
        say "found $found"
        exit 0
    fi
    say "said $each: $found"
done
