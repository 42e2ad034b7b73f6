package front

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/berth-ssh/berth/front/messages"
	"github.com/berth-ssh/berth/machine"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/landlock-lsm/go-landlock/landlock"
	landlocksys "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// shutOff takes from this process, in all its threads and for good, what it has no use
// for: its account and capabilities, files (Landlock), and system calls (seccomp). What
// the kernel does not know is told once.
func shutOff(settings messages.Settings, log *slog.Logger) error {
	unix.CloseRange(listenerFD+1, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC)
	boundCapabilities()
	if err := becomeNobody(settings.UID, settings.GID); errors.Is(err, unix.EPERM) {
		log.Warn("the front stays the account of the gateway, without a capability: it may not change to another one (CAP_SETUID, CAP_SETGID)")
	} else if err != nil {
		return err
	}
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("capabilities not dropped: %w", err)
	}
	version, err := landlocksys.LandlockGetABIVersion()
	if err != nil {
		log.Warn("this kernel knows no Landlock: the front is kept from files by its account and by seccomp alone", "err", err)
	} else if err := landlock.V11.BestEffort().Restrict(landlock.ROFiles("/proc/self/cgroup").IgnoreIfMissing(), landlock.RODirs("/sys/fs/cgroup").IgnoreIfMissing()); err != nil {
		return fmt.Errorf("not kept from files by Landlock: %w", err)
	}
	unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // nobody of its account reads or traces it
	if !seccomp.Supported() {
		log.Warn("this kernel knows no seccomp: the front may make any system call")
		return nil
	}
	filter := seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: policy()}
	if err := seccomp.LoadFilter(filter); err != nil {
		return fmt.Errorf("not kept from system calls by seccomp: %w", err)
	}
	log.Debug("shut off", "uid", unix.Getuid(), "landlock", version)
	return nil
}

// becomeNobody changes to an account that has nothing, if this one is root.
func becomeNobody(uid, gid int) error {
	if uid == 0 || unix.Getuid() != 0 {
		return nil
	}
	if err := syscall.Setgroups(nil); err != nil {
		return err
	}
	return errors.Join(syscall.Setresgid(gid, gid, gid), syscall.Setresuid(uid, uid, uid))
}

// boundCapabilities lets no program that is started have any, where this one may say so.
func boundCapabilities() {
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		psx.Syscall6(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, capability, 0, 0, 0, 0)
	}
}

// dropCapabilities leaves none in any set of any thread (capset(2)), for good.
func dropCapabilities() error {
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	header, none := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &[2]unix.CapUserData{}
	var stay runtime.Pinner // where they are
	stay.Pin(header)
	stay.Pin(none)
	defer stay.Unpin()
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(header)), uintptr(unsafe.Pointer(none)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// policy allows what the runtime and a gateway need of descriptors that are open. There
// is no way to a program, to another process, to a new connection, or to a file but
// those that Landlock leaves.
func policy() seccomp.Policy {
	return seccomp.Policy{
		DefaultAction: seccomp.ActionErrno,
		Syscalls: []seccomp.SyscallGroup{
			{Action: seccomp.ActionAllow, Names: allowed(), NamesWithCondtions: allowedWith()},
			{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: []string{"clone3"}}, // whose flags cannot be seen; libc takes clone then
		},
	}
}

func allowed() []string {
	names := []string{
		// data
		"read", "write", "readv", "writev", "pread64", "pwrite64", "close", "lseek", "fstat", "dup", "dup3", "fsync",
		"recvfrom", "recvmsg", "recvmmsg", "accept4", "accept", "getsockname", "getpeername", "getsockopt",
		"pipe2", "splice", "copy_file_range", "sendfile", "newfstatat", "openat", "getdents64", "faccessat", "faccessat2", "readlinkat",
		// waiting
		"epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "eventfd2", "ppoll", "futex", "nanosleep", "clock_nanosleep", "sched_yield", "restart_syscall",
		// memory
		"mmap", "munmap", "mprotect", "mremap", "madvise", "mincore", "brk", "membarrier", "rseq",
		// threads and signals
		"exit", "exit_group", "gettid", "getpid", "set_robust_list", "set_tid_address", "sigaltstack", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
		"sched_getaffinity", "getrlimit", "setrlimit", "getcpu", "prctl", "setitimer", "timer_create", "timer_settime", "timer_delete",
		// the clock, chance, and what there is
		"clock_gettime", "clock_getres", "gettimeofday", "getrandom", "uname", "sysinfo", "getuid", "geteuid", "getgid", "getegid", "getppid",
	}
	if runtime.GOARCH == "amd64" {
		names = append(names, "arch_prctl", "epoll_wait", "poll", "pipe", "time")
	}
	return names
}

// allowedWith are calls that with other arguments would lead further: to a new connection
// without connect(2), to another process of the account, such as a former gateway's
// front, to the terminal that the gateway was started at, or to a listener that serves
// the next front no more. What is not here is refused.
func allowedWith() []seccomp.NameWithConditions {
	own := uint64(unix.Getpid())
	all := []seccomp.NameWithConditions{
		when("clone", is(0, seccomp.BitsSet, unix.CLONE_THREAD)),
		when("sendto", is(3, seccomp.BitsNotSet, unix.MSG_FASTOPEN)), // which connects
		when("sendmsg", is(2, seccomp.BitsNotSet, unix.MSG_FASTOPEN)),
		when("shutdown", is(1, seccomp.Equal, unix.SHUT_WR)), // another way ends a listener, for all who have it
		when("fchmod", is(1, seccomp.Equal, machine.ModeForOthers)),
		when("tgkill", is(0, seccomp.Equal, own)),  // its own threads
		when("prlimit64", is(0, seccomp.Equal, 0)), // its own limits
	}
	for _, command := range []uint64{unix.F_DUPFD, unix.F_DUPFD_CLOEXEC, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_GETPIPE_SZ, unix.F_SETPIPE_SZ} {
		all = append(all, when("fcntl", is(1, seccomp.Equal, command)))
	}
	for _, command := range []uint64{unix.TCGETS, unix.TCSETS, unix.TCSBRK, unix.TIOCGWINSZ, unix.TIOCSWINSZ, unix.TIOCGPTN} {
		all = append(all, when("ioctl", is(1, seccomp.Equal, command)))
	}
	for level, options := range map[uint64][]uint64{
		unix.SOL_SOCKET:  {unix.SO_KEEPALIVE, unix.SO_LINGER},
		unix.IPPROTO_TCP: {unix.TCP_NODELAY, unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT, unix.TCP_QUICKACK},
	} {
		for _, option := range options {
			all = append(all, when("setsockopt", is(1, seccomp.Equal, level), is(2, seccomp.Equal, option)))
		}
	}
	return all
}

func when(call string, conditions ...seccomp.Condition) seccomp.NameWithConditions {
	return seccomp.NameWithConditions{Name: call, Conditions: conditions}
}

func is(argument uint32, operation seccomp.Operation, value uint64) seccomp.Condition {
	return seccomp.Condition{Argument: argument, Operation: operation, Value: value}
}
