# What an editor has a host's shell run: starts a server in the background (which
# lives as long as its input), or finds it, and prints markers. The editor puts
# its own words for the three that are in capitals.
dir=$HOME/.ID
echo 'ID: start'
if ! { test -s $dir/pid && kill -0 "$(cat $dir/pid)"; } 2>/dev/null; then
    mkdir -p $dir
    cat >$dir/server.py <<'END'
SERVER
END
    mkfifo $dir/input
    nohup python3 $dir/server.py SOCKET <>$dir/input >$dir/log 2>&1 &
    echo $! >$dir/pid
    while ! test -s $dir/log; do sleep 0.1; done
fi
echo "pid==$(cat $dir/pid)=="
echo "listeningOn==$(tail -n 1 $dir/log)=="
echo 'ID: end'
