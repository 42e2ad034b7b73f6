package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"berth/box"
	"berth/docker"
)

const watchPeriod = 2 * time.Second

func gpusCommand() *cobra.Command {
	var asJSON, watch bool
	command := &cobra.Command{
		Use:   "gpus",
		Short: "List the GPUs: who holds each, and who is on it now",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !watch {
				return showGPUs(cmd.Context(), cmd.OutOrStdout(), asJSON)
			}
			return watchGPUs(cmd.Context(), cmd.OutOrStdout(), asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	command.Flags().BoolVar(&watch, "watch", false, "again every 2 seconds, until Ctrl-C")
	return command
}

func watchGPUs(ctx context.Context, out io.Writer, asJSON bool) error {
	for {
		if !asJSON && isTerminal(os.Stdout) {
			fmt.Fprint(out, "\x1b[H\x1b[2J")
		}
		if err := showGPUs(ctx, out, asJSON); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPeriod):
		}
	}
}

func showGPUs(ctx context.Context, out io.Writer, asJSON bool) error {
	api, err := docker.Dial(ctx, "")
	if err != nil {
		return err
	}
	b, err := observeBox(ctx, api)
	if err != nil {
		return err
	}
	if b.NoGPUs != "" {
		return errors.New(b.NoGPUs)
	}
	containers, err := observeContainers(ctx, api, b)
	if err != nil {
		return err
	}
	states := gpuStates(b.GPUs, containers, processesHere(api))
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(states)
	}
	if len(states) == 0 {
		fmt.Fprintln(out, "no NVIDIA GPU here")
		return nil
	}
	fmt.Fprint(out, gpuTable(states, time.Now(), isTerminal(os.Stdout)))
	return nil
}

// gpuState is a device, its holders, and who is on it. Numbers that the driver
// does not know are -1.
type gpuState struct {
	Index       string       `json:"index"` // of today; index:index of an instance
	UUID        string       `json:"uuid"`
	Model       string       `json:"model"`
	MIG         string       `json:"mig,omitempty"`      // profile
	Recovery    string       `json:"recovery,omitempty"` // what its driver asks for
	Memory      int64        `json:"memory"`
	MemoryUsed  int64        `json:"memory_used"`
	Utilisation int          `json:"utilisation"`
	Temperature int          `json:"temperature"`
	Holders     []gpuHolder  `json:"holders"`
	Processes   []gpuProcess `json:"processes"` // of the whole card, where the driver does not say which instance
}

type gpuHolder struct {
	Host      string    `json:"host,omitempty"`
	Project   string    `json:"project,omitempty"` // "": provision did not make it
	Container string    `json:"container"`
	Budget    int64     `json:"budget,omitempty"` // where it shares the device
	State     string    `json:"state"`
	Since     time.Time `json:"since"`

	id string
}

type gpuProcess struct {
	PID       int    `json:"pid"`
	Name      string `json:"name"`
	Memory    int64  `json:"memory"`
	Container string `json:"container,omitempty"` // "": a process of the machine itself
	Host      string `json:"host,omitempty"`
	User      string `json:"user,omitempty"`    // of the gateway
	Account   string `json:"account,omitempty"` // of the ssh session
	Foreign   bool   `json:"foreign"`           // of nobody who holds the GPU
}

func gpuStates(gpus []box.GPU, containers []existing, table processTable) []gpuState {
	states := []gpuState{}
	for i, gpu := range gpus {
		for k, d := range gpu.Devices() {
			s := gpuState{
				Index: strconv.Itoa(i), UUID: d.UUID, Model: d.Model, MIG: d.Profile, Recovery: d.Broken, Memory: d.Memory,
				MemoryUsed: gpu.MemoryUsed, Utilisation: gpu.Utilisation, Temperature: gpu.Temperature,
				Holders: holdersOf(d, containers), Processes: []gpuProcess{},
			}
			if d.Profile != "" { // the driver says these of the card only
				s.Index += ":" + strconv.Itoa(k)
				s.MemoryUsed, s.Utilisation = -1, -1
			}
			for _, p := range gpu.Processes {
				if p.Instance != "" && p.Instance != d.UUID {
					continue
				}
				s.Processes = append(s.Processes, table.whose(p, s.Holders, containers))
			}
			states = append(states, s)
		}
	}
	return states
}

func holdersOf(d box.Device, containers []existing) []gpuHolder {
	holders := []gpuHolder{}
	for _, c := range containers {
		i := slices.IndexFunc(c.claim.GPUs, func(h box.Hold) bool { return h.UUID == d.UUID })
		if i < 0 || !c.counts() {
			continue
		}
		h := gpuHolder{Project: c.project(), Container: c.name, Budget: c.claim.GPUs[i].Budget, State: c.state, Since: c.createdAt(), id: c.id}
		if h.Project != "" {
			h.Host = c.hostName()
		}
		holders = append(holders, h)
	}
	return holders
}

// gpuTable is a line for each device, red where others than its holder use it.
func gpuTable(states []gpuState, now time.Time, colours bool) string {
	rows := [][]string{{"GPU", "UUID", "MODEL", "MEMORY", "BUSY", "TEMP", "HOLDER", "SINCE", "ON IT"}}
	for _, s := range states {
		rows = append(rows, s.row(now))
	}
	lines := strings.SplitAfter(table(rows), "\n")
	for i, s := range states {
		if colours && s.isForeign() {
			lines[i+1] = "\x1b[31m" + strings.TrimSuffix(lines[i+1], "\n") + "\x1b[0m\n"
		}
	}
	return strings.Join(lines, "")
}

func (s gpuState) row(now time.Time) []string {
	model := s.Model
	if s.MIG != "" {
		model = "MIG " + s.MIG
	}
	if s.Recovery != "" {
		model += ", needs a " + strings.ToLower(s.Recovery)
	}
	var holders, since, on []string
	for _, h := range s.Holders {
		holders = append(holders, h.String())
		since = append(since, units.HumanDuration(now.Sub(h.Since)))
	}
	for _, p := range s.Processes {
		on = append(on, p.String())
	}
	return []string{
		s.Index, s.UUID, model, memoryText(s), unit(s.Utilisation, "%"), unit(s.Temperature, "°C"),
		listed(holders), listed(since), listed(on),
	}
}

func (s gpuState) isForeign() bool {
	return slices.ContainsFunc(s.Holders, func(h gpuHolder) bool { return h.Project == "" }) ||
		slices.ContainsFunc(s.Processes, func(p gpuProcess) bool { return p.Foreign })
}

func (h gpuHolder) String() string {
	text := h.Container + " (not provision's)"
	if h.Project != "" {
		text = h.Host + " (" + h.Project + ")"
	}
	if h.Budget > 0 {
		text += " " + box.Bytes(h.Budget)
	}
	return text
}

func (p gpuProcess) String() string {
	text := fmt.Sprintf("%s %d", program(p.Name), p.PID)
	if login := p.login(); login != "" {
		text += " " + login
	}
	switch {
	case p.Container == "":
		text += " (in no container)"
	case p.Host == "":
		text += " in " + p.Container
	}
	return text
}

// login is what is known of user+account@host, as the gateway's logins are written.
func (p gpuProcess) login() string {
	text := strings.Trim(p.User+"+"+p.Account, "+")
	switch {
	case p.Host == "" || text == "":
		return text + p.Host
	case p.Account == "":
		return text + "+" + p.Host
	}
	return text + "@" + p.Host
}

func memoryText(s gpuState) string {
	if s.MemoryUsed < 0 {
		return box.Bytes(s.Memory)
	}
	return box.Bytes(s.MemoryUsed) + " of " + box.Bytes(s.Memory)
}

func unit(n int, unit string) string {
	if n < 0 {
		return "-"
	}
	return strconv.Itoa(n) + unit
}

func listed(texts []string) string {
	if len(texts) == 0 {
		return "-"
	}
	return strings.Join(texts, ", ")
}
