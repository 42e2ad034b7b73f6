# git pushes a repository of three times $MEGABYTES, and clones it.
. "${0%/*}/config.sh"
export GIT_SSH_COMMAND="ssh -F $PWD/config" GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
case $1 in
version) git --version ;;
push)
    set -e
    git init -q one
    cd one
    for i in 1 2 3; do
        head -c ${MEGABYTES}M /dev/urandom >big.$i
        seq $i 2000 | split -l 1 -a 4 - small.$i.
        git add . && git commit -qm $i
    done
    ssh -F ../config h "git init -q --bare $FAR.git"
    git push -q "h:$FAR.git" HEAD
    cd .. && git clone -q "h:$FAR.git" two
    diff -r -x .git one two && git -C two fsck --no-progress
    ;;
esac
