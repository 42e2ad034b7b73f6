package main

import (
	"os"
	"strings"
	"testing"
)

// A service starts when the job that it waits for is done, and what it needs is healthy;
// the job is not run again.
func TestServicesWaitForWhatTheyDependOn(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	compose := func(job string) string {
		return l.File(`
services:
  job: {image: "` + os.Getenv("BERTH_BASE_IMAGE") + `", command: ["sh", "-c", "` + job + `"], volumes: ["data:/data"]}
  db:
    image: "` + os.Getenv("BERTH_BASE_IMAGE") + `"
    command: sh -c "sleep 2; touch /data/ready; sleep 1000"
    volumes: ["data:/data"]
    stop_grace_period: 0s
    healthcheck: {test: ["CMD", "test", "-e", "/data/ready"], interval: 1s}
  web:
    image: "` + os.Getenv("BERTH_BASE_IMAGE") + `"
    command: sh -c "test -e /data/done && test -e /data/ready && sleep 1000"
    volumes: ["data:/data"]
    stop_grace_period: 0s
    depends_on: {job: {condition: service_completed_successfully}, db: {condition: service_healthy}}
volumes: {data: {}}
`)
	}
	file := compose("sleep 1; touch /data/done")
	out := l.mustRun("up", "-f", file)
	if !strings.Contains(out, "wait    container "+l.Name+"-job-1") || !l.Inspect("web").State.Running {
		t.Errorf("the plan:\n%s", out)
	}
	if out := l.mustRun("up", "-f", file); !strings.Contains(out, "nothing to do") {
		t.Errorf("a second up:\n%s", out)
	}
	l.mustRun("down", "--yes")
	_, err := l.run("up", "--yes", "-f", compose("echo no disk; exit 3"))
	if want := "wait container " + l.Name + "-job-1: its command ended with code 3: no disk"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if l.Inspect("web").State.Running {
		t.Error("started all the same")
	}
}
