# Does the same to two files, $PIECES times at random places, and reads both.
import os, random, sys

SIZE, PIECES = 32 << 20, int(os.environ["PIECES"])
there, here = (open(path, "w+b") for path in sys.argv[1:])
for file in (there, here):
    file.truncate(SIZE)
for _ in range(PIECES):
    place, size = random.randrange(SIZE), random.randrange(1, 100_000)
    piece = os.urandom(size)
    for file in (there, here):
        file.seek(place)
        file.write(piece)
    place = random.randrange(SIZE)
    for file in (there, here):
        file.seek(place)
    if there.read(size) != here.read(size):
        sys.exit("read other than what was written, at %d" % place)
for file in (there, here):
    file.truncate(SIZE // 2)
    file.close()
