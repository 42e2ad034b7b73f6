package checks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/berth-ssh/berth/screen"
)

// What VS Code's server needs (its cli/src/util/prereqs.rs says so).
func vscodeChecks() []Check {
	return []Check{
		{Name: "VS Code: glibc", timeout: 30 * time.Second, run: checkGlibc},
		{Name: "VS Code: libstdc++", timeout: 30 * time.Second, run: checkLibstdcxx},
		{Name: "VS Code: programs", timeout: 30 * time.Second, run: checkPrograms},
		{Name: "VS Code: home directory", timeout: 30 * time.Second, run: checkHome},
		{Name: "VS Code: its way in", timeout: 30 * time.Second, run: checkWayIn},
	}
}

const (
	minGlibc    = 28 // 2.28
	minGlibcxx  = 25 // GLIBCXX_3.4.25
	minFreeMiB  = 512
	newerImages = "use an image of Debian 10, Ubuntu 20.04, Rocky 8 or newer"
)

func checkGlibc(_ context.Context, v *visit) (string, error) {
	e, err := v.sh("getconf GNU_LIBC_VERSION || ldd --version 2>&1 || ls /lib/ld-musl-*", nil)
	if err != nil {
		return "", err
	}
	return glibcVersion(e.stdout)
}

// glibcVersion reads what getconf or ldd says.
func glibcVersion(said string) (string, error) {
	if strings.Contains(said, "musl") {
		return "", errors.New("musl is not supported over SSH: use an image with glibc, such as Debian or Ubuntu")
	}
	first, _, _ := strings.Cut(said, "\n")
	found := regexp.MustCompile(`(\d+)\.(\d+)$`).FindStringSubmatch(strings.TrimSpace(first))
	if found == nil {
		return "", failed("glibc 2.28", screen.Quote(oneLine(said)), newerImages)
	}
	major, _ := strconv.Atoi(found[1])
	minor, _ := strconv.Atoi(found[2])
	if major < 2 || major == 2 && minor < minGlibc {
		return "", fmt.Errorf("glibc %s is too old, it needs 2.%d: %s", found[0], minGlibc, newerImages)
	}
	return found[0], nil
}

// glibcxxScript prints the versions of the symbols in libstdc++.
const glibcxxScript = `for dir in /usr/lib /usr/lib64 /lib /lib64 /usr/lib/*-linux-gnu* /usr/local/lib /usr/local/lib64; do
	file=$dir/libstdc++.so.6
	[ -e "$file" ] && tr -c 'A-Za-z0-9_.' '\n' <"$file" | grep '^GLIBCXX_3\.4\.[0-9]*$' && exit
done`

func checkLibstdcxx(_ context.Context, v *visit) (string, error) {
	e, err := v.sh(glibcxxScript, nil)
	if err != nil {
		return "", err
	}
	newest := -1
	for line := range strings.Lines(e.stdout) {
		minor, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(line), "GLIBCXX_3.4."))
		if err == nil {
			newest = max(newest, minor)
		}
	}
	switch {
	case newest < 0:
		return "", lacks("libstdc++.so.6", "libstdc++6")
	case newest < minGlibcxx:
		return "", fmt.Errorf("libstdc++ has GLIBCXX_3.4.%d, it needs 3.4.%d: %s", newest, minGlibcxx, newerImages)
	}
	return fmt.Sprintf("GLIBCXX_3.4.%d", newest), nil
}

func checkPrograms(_ context.Context, v *visit) (string, error) {
	for _, program := range []string{"bash", "tar"} {
		if !v.has(program) {
			return "", lacks(program, program)
		}
	}
	for _, program := range []string{"curl", "wget"} {
		if v.has(program) {
			return "bash, tar, " + program, nil
		}
	}
	return "", lacks("curl and no wget", "curl")
}

// homeScript tries a program there, and prints how much space is left in KiB.
const homeScript = `dir=$(mktemp -d "$HOME/.berth-selftest-XXXXXX") || exit
trap 'rm -rf "$dir"' EXIT
printf '#!/bin/sh\nexit 0\n' >"$dir/try" && chmod +x "$dir/try" && "$dir/try" || exit
df -Pk "$dir" | awk 'NR == 2 { print $4 }'`

func checkHome(_ context.Context, v *visit) (string, error) {
	out, err := v.output(homeScript)
	if err != nil {
		return "", failed("a home directory to write to and run from", err, "does it exist, and belong to the account?")
	}
	free, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	if err != nil {
		return "writable", nil // without df and awk, nobody knows
	}
	if free>>10 < minFreeMiB {
		return "", failed(fmt.Sprintf("%d MiB of space in the home directory", minFreeMiB), fmt.Sprintf("%d MiB", free>>10), "make room, or mount a larger volume")
	}
	return fmt.Sprintf("%.1f GiB free", float64(free)/(1<<20)), nil
}

// checkWayIn does as VS Code does: ssh runs a shell without a terminal and
// serves SOCKS, the script comes on its input, and a server on the loopback of
// the host is reached through that connection.
func checkWayIn(ctx context.Context, v *visit) (string, error) {
	server, err := v.listenTCP()
	if err != nil {
		return "", err
	}
	socks, err := freeAddress()
	if err != nil {
		return "", err
	}
	command, err := v.clients.command(ctx, "ssh", "-T", "-D", socks, hostAlias, "sh")
	if err != nil {
		return "", err
	}
	in, err := startScript(command)
	if err != nil {
		return "", err
	}
	defer command.Process.Kill()
	err = echoAtOnce(func() (net.Conn, error) { return dialSocks(ctx, socks, server.Addr().(*net.TCPAddr).Port) })
	if err != nil {
		return "", fmt.Errorf("through SOCKS: %w", err)
	}
	io.WriteString(in, "exit 4\n")
	if command.Wait(); command.ProcessState.ExitCode() != 4 {
		return "", failed("exit status 4", command.ProcessState, "")
	}
	return "", nil
}

// startScript has the shell say its first word, and leaves its input open.
func startScript(command *exec.Cmd) (io.Writer, error) {
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	io.WriteString(in, "echo "+hello+": start\n")
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != hello+": start\n" {
		command.Process.Kill()
		command.Wait()
		return nil, errors.Join(failed("the script's first line", screen.Quote(oneLine(line)), ""), err)
	}
	return in, nil
}

// freeAddress is an address that nobody listens on, for now.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// dialSocks connects to a port of the host's loopback (RFC 1928).
func dialSocks(ctx context.Context, proxy string, port int) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", proxy)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	conn.Write([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, byte(port >> 8), byte(port)})
	var reply [12]byte // two about the method, ten about the connection
	if _, err := io.ReadFull(conn, reply[:]); err != nil {
		conn.Close()
		return nil, err
	}
	if reply[3] != 0 {
		conn.Close()
		return nil, fmt.Errorf("the host's loopback is not reached: %s", tcpHint)
	}
	return conn, nil
}
