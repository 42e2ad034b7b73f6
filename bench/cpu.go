package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// engineSocket is the engine's socket.
const engineSocket = "/var/run/docker.sock"

// consumers returns the names of those whose processor time is counted.
func consumers() []string { return []string{"gateway", "engine", "container", "client"} }

// cpuTimes has the processor time of each consumer so far. It does not include work
// of the kernel that belongs to no process, such as forwarding packets.
type cpuTimes map[string]time.Duration

// cpuTimes returns the times for a door; client is the process of its client.
func (g *ground) cpuTimes(ctx context.Context, d *door, client int) (cpuTimes, error) {
	container, err := containerTime(ctx, d.container)
	if err != nil {
		return nil, err
	}
	times := cpuTimes{"engine": engineTime(), "container": container, "client": processTime(client)}
	if d.gateway != nil {
		times["gateway"] = processTime(d.gateway.command.Process.Pid) + processTime(d.gateway.front())
	}
	return times, nil
}

// since returns the time used since before, in seconds for each GB.
func (c cpuTimes) since(before cpuTimes, gigabytes float64) map[string]float64 {
	had := map[string]float64{}
	for who := range c {
		had[who] = (c[who] - before[who]).Seconds() / gigabytes
	}
	return had
}

// processTime returns the processor time of a process, without its children.
func processTime(pid int) time.Duration {
	const utime, ticks = 11, 100 // proc(5), counted after the name; USER_HZ is 100 on Linux
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := strings.LastIndexByte(string(stat), ')')
	fields := strings.Fields(string(stat)[max(end, 0):])
	if len(fields) <= utime+2 {
		return 0
	}
	user, _ := strconv.Atoi(fields[utime+1])
	system, _ := strconv.Atoi(fields[utime+2])
	return time.Duration(user+system) * time.Second / ticks
}

// engineTime returns the processor time of the engine, its shims and its port
// proxies. It includes those of other containers, which should be idle.
func engineTime() (sum time.Duration) {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, file := range names {
		name, _ := os.ReadFile(file)
		switch strings.TrimSpace(string(name)) {
		case "dockerd", "containerd", "containerd-shim", "docker-proxy":
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			sum += processTime(pid)
		}
	}
	return sum
}

// containerTime returns the processor time of all processes in a container, as the
// engine reports it.
func containerTime(ctx context.Context, name string) (time.Duration, error) {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", engineSocket)
	}}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/v1.41/containers/"+name+"/stats?stream=false&one-shot=true", nil)
	if err != nil {
		return 0, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	var stats struct {
		CPU struct {
			Usage struct {
				Total time.Duration `json:"total_usage"`
			} `json:"cpu_usage"`
		} `json:"cpu_stats"`
	}
	return stats.CPU.Usage.Total, json.NewDecoder(answer.Body).Decode(&stats)
}
