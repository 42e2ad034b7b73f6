# ansible pings and copies, with pipelining and without, $RUNS times.
. "${0%/*}/config.sh"
unset SSH_ASKPASS SSH_ASKPASS_REQUIRE
export ANSIBLE_HOST_KEY_CHECKING=True ANSIBLE_SSH_ARGS="-F $PWD/config -o ControlMaster=auto -o ControlPersist=60s"
export ANSIBLE_SSH_CONTROL_PATH_DIR=$PWD/cp ANSIBLE_NOCOLOR=1 ANSIBLE_LOCAL_TEMP=$PWD/tmp ANSIBLE_DEPRECATION_WARNINGS=False
echo "h ansible_python_interpreter=/usr/bin/python3 ${PASSWORD:+ansible_password='$PASSWORD'}" >inventory
run() { ansible h -i inventory "$@" >said 2>&1 || { cat said >&2; exit 1; }; }
case $1 in
version) ansible --version | head -1 ;;
play)
    trap 'ssh -F config -o ControlPath=cp/* -O exit h 2>/dev/null' EXIT
    for i in $(seq "$RUNS"); do
        export ANSIBLE_PIPELINING=$((i % 2))
        run -m ping
    done
    run -m copy -a "src=$PWD/up dest=$FAR"
    run -m fetch -a "src=$FAR dest=$PWD/down flat=yes"
    ;;
esac
