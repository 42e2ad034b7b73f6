package docker

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/printable"
)

// kernelLog is the file of the kernel's log, which only root can read.
const kernelLog = "/dev/kmsg"

const (
	maxKernelRecords = 20000 // more than its buffer normally has
	maxKernelRecord  = 8 << 10
	maxKernelText    = 200 // runes of a record that are shown
)

// kernelRecord is a line of the kernel's log.
type kernelRecord struct {
	at   time.Time
	text string
}

// readKernelLog returns the present content of the kernel's log, the oldest record
// first; nil if it cannot be read. It never blocks.
func readKernelLog(path string) []kernelRecord {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return nil
	}
	boot := time.Now().Add(-time.Duration(now.Nano()))
	var all []kernelRecord
	buffer := make([]byte, maxKernelRecord)
	for range maxKernelRecords {
		n, err := unix.Read(fd, buffer) // one record
		switch {
		case errors.Is(err, unix.EPIPE): // the record was overwritten meanwhile; read the next one
			continue
		case err != nil || n == 0: // EAGAIN: there are no more
			return all
		}
		if r, ok := parseKernelRecord(string(buffer[:n]), boot); ok {
			all = append(all, r)
		}
	}
	return all
}

// parseKernelRecord parses a record of /dev/kmsg: level, sequence number,
// microseconds since the boot and flags, separated by commas, then a semicolon and
// the text.
func parseKernelRecord(record string, boot time.Time) (kernelRecord, bool) {
	head, text, ok := strings.Cut(record, ";")
	fields := strings.Split(head, ",")
	if !ok || len(fields) < 3 {
		return kernelRecord{}, false
	}
	micros, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return kernelRecord{}, false
	}
	text, _, _ = strings.Cut(text, "\n") // below it are keys of devices
	return kernelRecord{boot.Add(time.Duration(micros) * time.Microsecond), text}, true
}

var (
	oomVictim = regexp.MustCompile(`oom-kill:.*oom_memcg=(\S*?),.*task=(.*),pid=(\d+),uid=\d+`)
	oomKilled = regexp.MustCompile(`Killed process (\d+) .*anon-rss:(\d+)kB`)
	xidReport = regexp.MustCompile(`NVRM: (Xid .*)`)
)

// killedIn returns the process that the kernel killed last in a container between two
// times, and how much memory it had; "" if the log does not say.
func killedIn(log []kernelRecord, id string, from, until time.Time) string {
	pid, text := "", ""
	for _, r := range log {
		if r.at.Before(from) || r.at.After(until) {
			continue
		}
		if found := oomVictim.FindStringSubmatch(r.text); found != nil && id != "" && strings.Contains(found[1], id) {
			pid, text = found[3], "it killed "+printable.Line(found[2], 40)+", process "+found[3]
			continue
		}
		if found := oomKilled.FindStringSubmatch(r.text); found != nil && found[1] == pid {
			kilobytes, _ := strconv.ParseFloat(found[2], 64)
			text += ", which had " + units.BytesSize(kilobytes*1024)
			pid = ""
		}
	}
	return text
}

// lastXid returns the last error that NVIDIA's driver reported between two times.
func lastXid(log []kernelRecord, from, until time.Time) string {
	last := ""
	for _, r := range log {
		if found := xidReport.FindStringSubmatch(r.text); found != nil && r.at.After(from) && r.at.Before(until) {
			last = printable.Line(found[1], maxKernelText)
		}
	}
	return last
}
