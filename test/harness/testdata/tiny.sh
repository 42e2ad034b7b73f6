# The files of an image with busybox and musl, and an account.
mkdir -p bin lib home/dev tmp proc dev sys
cp /bin/busybox bin/
for tool in sh sleep cat id ls mkdir mktemp chmod rm wc echo env touch; do
    ln -s busybox bin/$tool
done
cp /lib/ld-musl-*.so.1 lib/
musl-gcc -x c - -o bin/hello <<'END'
#include <stdio.h>
int main(void) { puts("by musl"); }
END
