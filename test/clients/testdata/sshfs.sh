# sshfs: a file is written and read at random places of a mounted directory.
. "${0%/*}/config.sh"
case $1 in
version) sshfs --version 2>&1 | grep -m1 '^SSHFS' ;;
mount)
    mkdir mnt
    sshfs -F "$PWD/config" "h:${FAR%/*}" mnt || exit
    trap 'fusermount3 -u mnt' EXIT
    /usr/bin/python3 "${0%/*}/random_io.py" "mnt/${FAR##*/}" plain &&
        mv "mnt/${FAR##*/}" mnt/moved.$$ && cmp mnt/moved.$$ plain && rm mnt/moved.$$
    ;;
esac
