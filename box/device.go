package box

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Device is what a host can be given: a card, or an instance of a partitioned one.
type Device struct {
	UUID    string
	Card    string // UUID of the card that it is, or is a part of
	Model   string
	Profile string // of a MIG instance; "" for a whole card
	Memory  int64  // bytes
	Broken  string // what the driver asks for before it works again; "" where it works
}

// Hold is a device that a container holds, or a part of its memory.
type Hold struct {
	UUID   string
	Budget int64 // bytes; 0: the whole device
}

// String names it as people tell one from another.
func (d Device) String() string {
	if d.Profile != "" {
		return fmt.Sprintf("%s (MIG %s of %s)", d.UUID, d.Profile, d.Model)
	}
	return fmt.Sprintf("%s (%s)", d.UUID, d.Model)
}

// Devices are in nvidia-smi's order. A partitioned card is none itself.
func (i Inventory) Devices() []Device {
	var all []Device
	for _, gpu := range i.GPUs {
		all = append(all, gpu.Devices()...)
	}
	return all
}

// Devices are the card, or its instances where it is partitioned.
func (g GPU) Devices() []Device {
	if !g.MIG {
		return []Device{{UUID: g.UUID, Card: g.UUID, Model: g.Model, Memory: g.Memory, Broken: g.Recovery}}
	}
	var parts []Device
	for _, i := range g.Instances {
		parts = append(parts, Device{UUID: i.UUID, Card: g.UUID, Model: g.Model, Profile: i.Profile, Memory: i.Memory, Broken: g.Recovery})
	}
	return parts
}

// Device is the one with this UUID.
func (i Inventory) Device(uuid string) (Device, bool) {
	all := i.Devices()
	k := slices.IndexFunc(all, func(d Device) bool { return d.UUID == uuid })
	if k < 0 {
		return Device{}, false
	}
	return all[k], true
}

// Resolve returns the devices that a name means: all, an index as nvidia-smi
// counts, index:index for an instance, a UUID or the beginning of one, any of
// these as a CDI name, or a device node. It returns none where the name means none.
func (i Inventory) Resolve(name string) []Device {
	name = strings.TrimPrefix(name, CDIPrefix)
	if minor, is := MinorOf(name); is {
		return i.ByMinor(minor)
	}
	if name == "all" {
		return i.Devices()
	}
	card, part, isPart := strings.Cut(name, ":")
	if k, err := strconv.Atoi(card); err == nil {
		return i.byIndex(k, part, isPart)
	}
	return slices.DeleteFunc(i.Devices(), func(d Device) bool {
		return !isPrefixOfUUID(name, d.UUID) && !isPrefixOfUUID(name, d.Card)
	})
}

// MinorOf returns the number of a GPU's device node, such as /dev/nvidia1; other nodes
// of NVIDIA's, such as /dev/nvidiactl, are no GPU's.
func MinorOf(path string) (minor int, is bool) {
	number, is := strings.CutPrefix(path, "/dev/nvidia")
	if !is || strings.Trim(number, "0123456789") != "" {
		return 0, false
	}
	minor, err := strconv.Atoi(number)
	return minor, err == nil
}

// Names returns the names in a list of devices as people and NVIDIA's runtime write it:
// "0,1" is two, in one text or in several.
func Names(texts ...string) []string {
	var names []string
	for _, text := range texts {
		for name := range strings.SplitSeq(text, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// isPrefixOfUUID: the driver takes the beginning of a UUID for the whole.
func isPrefixOfUUID(name, uuid string) bool {
	return len(name) > len("GPU-") && strings.HasPrefix(uuid, name)
}

func (i Inventory) byIndex(card int, part string, isPart bool) []Device {
	if card < 0 || card >= len(i.GPUs) {
		return nil
	}
	parts := i.GPUs[card].Devices()
	if !isPart {
		return parts
	}
	if k, err := strconv.Atoi(part); err == nil && k >= 0 && k < len(parts) && parts[k].Profile != "" {
		return parts[k : k+1]
	}
	return nil
}

// First returns the devices of the first so many cards, which is what the engine
// hands out to a request for a number: it keeps no books.
func (i Inventory) First(cards int) []Device {
	var all []Device
	for k := range min(cards, len(i.GPUs)) {
		all = append(all, i.byIndex(k, "", false)...)
	}
	return all
}

// ByMinor returns what /dev/nvidia<minor> is, which need not be the GPU of that
// index.
func (i Inventory) ByMinor(minor int) []Device {
	for _, gpu := range i.GPUs {
		if gpu.Minor == minor {
			return gpu.Devices()
		}
	}
	return nil
}
