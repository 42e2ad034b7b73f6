# The files of an image with one program and an account.
mkdir -p home/dev tmp proc dev sys
gcc -static -x c - -o pause <<'END'
#include <unistd.h>
int main(void) { for (;;) pause(); }
END
