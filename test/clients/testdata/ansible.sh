# ansible runs $MODULES modules and copies, with pipelining or without.
. "${0%/*}/config.sh"
unset SSH_ASKPASS SSH_ASKPASS_REQUIRE
export ANSIBLE_SSH_ARGS="-F $PWD/config -o ControlMaster=auto -o ControlPersist=60s" ANSIBLE_SSH_CONTROL_PATH_DIR=$PWD/cp
export ANSIBLE_NOCOLOR=1 ANSIBLE_LOCAL_TEMP=$PWD/tmp ANSIBLE_DEPRECATION_WARNINGS=False PWD
case $1 in
version) ansible --version | head -1 ;;
play | pipelined)
    [ "$1" = play ] || export ANSIBLE_PIPELINING=1
    echo "h ansible_python_interpreter=/usr/bin/python3 ${PASSWORD:+ansible_password='$PASSWORD'}" >inventory
    trap 'for path in cp/*; do ssh -F config -o ControlPath="$path" -O exit h 2>/dev/null; done' EXIT
    ansible-playbook -i inventory "${0%/*}/ansible.yml" >said 2>&1 || { cat said >&2; exit 1; }
    ;;
esac
