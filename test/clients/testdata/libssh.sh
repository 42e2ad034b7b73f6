# libssh, by a program in C.
cc -o client "${0%/*}/libssh.c" -lssh && exec ./client "$1"
