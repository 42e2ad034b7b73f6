# What an editor has a host's shell run: starts its server in the background, or
# finds it, and prints markers. The editor puts its own words for those that are
# in capitals.
dir=$HOME/.ID
echo 'ID: start'
if ! { test -s $dir/pid && kill -0 "$(cat $dir/pid)"; } 2>/dev/null; then
    mkdir -p $dir && cd $dir
    START
    echo $! >pid
    while ! grep -q '^LISTENS' log; do sleep 0.1; done
fi
echo "pid==$(cat $dir/pid)=="
echo "listeningOn==$(sed -n 's/^LISTENS//p' $dir/log)=="
echo 'ID: end'
