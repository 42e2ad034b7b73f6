package helper

import "syscall"

// mostOpenFiles is the limit that the entrypoint of Berth's image gives its sshd,
// too.
const mostOpenFiles = 524288

// raiseOpenFiles raises this process's limit of open files to what the container
// allows, but not above mostOpenFiles: newer engines start processes with 1024.
// Sessions inherit the new limit. Without this call Go would give its children the
// limit that the program was started with.
func raiseOpenFiles() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = min(limit.Max, mostOpenFiles)
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // a session with fewer is better than none
	}
}
