package helper

import "syscall"

// mostOpenFiles is what the entrypoint of Berth's image gives its sshd, too.
const mostOpenFiles = 524288

// raiseOpenFiles lets what sessions start open as many files as the container
// allows, up to mostOpenFiles: newer engines give 1024 at first. Children get the
// limits of this call, and not those that the program was started with, which Go
// restores for them otherwise.
func raiseOpenFiles() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = min(limit.Max, mostOpenFiles)
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // a session with fewer is better than none
	}
}
