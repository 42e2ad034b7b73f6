# rsync sends $FILES files, finds nothing to do the second time, and fetches
# them.
. "${0%/*}/config.sh"
case $1 in
version) rsync --version | head -1 ;;
tree)
    set -e
    mkdir tree && cd tree
    seq "$FILES" | split -l 1 -a 5 - f
    cd ..
    rsync -a -e "ssh -F config" tree/ "h:$FAR/"
    [ -z "$(rsync -ai -e "ssh -F config" tree/ "h:$FAR/")" ]
    rsync -a -e "ssh -F config" "h:$FAR/" back/
    diff -r tree back
    ssh -F config h "rm -r $FAR"
    ;;
esac
