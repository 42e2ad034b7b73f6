# The files of an image with this machine's shell and C library, an account, and
# take, a program that takes memory of a GPU. As in NVIDIA's own images the driver
# is not among them: the container toolkit brings it.
mkdir -p bin home/dev tmp proc dev sys
gcc -x c - -ldl -o bin/take <<'END'
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *cuda;

static void try(const char *name, int failed) {
	if (failed) {
		printf("%s: error %d\n", name, failed);
		exit(1);
	}
}

#define TRY(name, types, ...) try(#name, ((int (*) types)dlsym(cuda, #name))(__VA_ARGS__))

// It takes half a gigabyte of the first GPU that it sees, says how many it sees, and
// keeps it until its input ends.
int main(void) {
	int count, device;
	void *context;
	unsigned long long memory;
	cuda = dlopen("libcuda.so.1", RTLD_NOW);
	if (!cuda) {
		puts(dlerror());
		return 1;
	}
	TRY(cuInit, (unsigned), 0);
	TRY(cuDeviceGetCount, (int *), &count);
	TRY(cuDeviceGet, (int *, int), &device, 0);
	TRY(cuDevicePrimaryCtxRetain, (void **, int), &context, device);
	TRY(cuCtxSetCurrent, (void *), context);
	TRY(cuMemAlloc_v2, (unsigned long long *, size_t), &memory, 512 << 20);
	printf("of %d\n", count);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
END
for tool in sh sleep cat ls; do
    cp -L "$(command -v $tool)" bin/
done
{
    ldd bin/* | awk '$2 == "=>" { print $3 } $1 ~ "^/" && $2 ~ "^\\(" { print $1 }'
    libc=$(ldd bin/sh | awk '/libc\.so/ { print $3 }')
    ls "${libc%/*}"/lib{c,m,dl,pthread,rt}.so.[0-9] # the driver needs them
} | sort -u | while read -r library; do
    mkdir -p ".${library%/*}"
    cp -L "$library" ".$library"
done
