# Makes an image, $TAG, of what is in the working directory, with two accounts,
# by way of the file $TAR; it runs $COMMAND
# with $VARIABLES, NAME=VALUE each, if there are any.
mkdir etc
printf 'root:x:0:0::/root:/bin/sh\ndev:x:1000:1000::/home/dev:/bin/sh\n' >etc/passwd
printf 'root:x:0:\ndev:x:1000:\n' >etc/group
chmod 1777 tmp
tar -cf "$TAR" --owner 0 --group 0 --exclude ./home/dev .
tar -rf "$TAR" --owner 1000 --group 1000 ./home/dev
docker import ${VARIABLES:+--change "ENV $VARIABLES"} --change "CMD $COMMAND" "$TAR" "$TAG"
