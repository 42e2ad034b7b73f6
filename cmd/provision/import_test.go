package main

import (
	"testing"

	"github.com/berth-ssh/berth/provision/migrate"
)

func TestMigrationTableSaysHowPeopleComeIn(t *testing.T) {
	m := &migrate.Migration{
		Dir: ".",
		Logins: []migrate.Login{
			{Host: "master", Account: "developer", Port: "4432", User: "developer-master"},
			{Host: "worker", Account: "root", User: "root"},
			{Host: "third", Account: "root", User: "root"},
		},
		Notes: []string{"master: its build gives way to Berth's host image"},
	}
	const want = `PORT  HOST     BEFORE                     NOW
4432  +master  ssh -p 4432 developer@box  ssh -p 2222 developer-master@box
-     +worker  -                          ssh -p 2222 root+worker@box
-     +third   -                          ssh -p 2222 root+third@box
master: its build gives way to Berth's host image
next:
  berth-provision plan
  berth-provision up
  install -D -m 600 gateway.yaml /etc/berth/gateway.yaml && berth-gateway check && berth-gateway serve
`
	if got := migrationTable(m, migrate.ComposeFile); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
