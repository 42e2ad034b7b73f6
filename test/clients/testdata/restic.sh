# restic, which speaks SFTP by OpenSSH.
. "${0%/*}/config.sh"
export RESTIC_PASSWORD=secret RESTIC_CACHE_DIR=$PWD/cache RESTIC_REPOSITORY="sftp:h:$FAR"
restic="restic --quiet -o sftp.command='ssh -F $PWD/config h -s sftp'"
case $1 in
version) restic version ;;
backup)
    eval "$restic init" && eval "$restic backup up" && eval "$restic check --read-data" &&
        eval "$restic dump latest /up" >down
    ;;
esac
