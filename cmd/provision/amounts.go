package main

import (
	"strconv"

	"github.com/docker/go-units"
)

// kind is a kind of resource, and how an amount of it is written.
type kind struct {
	of        func(claim) int64
	amount    func(int64) string
	one, many string
}

func cpuKind() kind {
	return kind{func(c claim) int64 { return c.nanoCPUs }, inCPUs, "cpu", "cpus"}
}

func memoryKind() kind {
	return kind{func(c claim) int64 { return c.memory }, inBytes, "of memory", "of memory"}
}

func (k kind) write(n int64) string {
	if amount := k.amount(n); amount != "1" {
		return amount + " " + k.many
	}
	return "1 " + k.one
}

func inCPUs(nano int64) string { return strconv.FormatFloat(float64(nano)/1e9, 'f', -1, 64) }

func inBytes(n int64) string { return units.BytesSize(float64(n)) }

func inPieces(n int64) string {
	if n == 0 {
		return "none"
	}
	return strconv.FormatInt(n, 10)
}
