package metrics

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/scrape"
)

// numbers exports what a watch sees to Prometheus.
type numbers struct {
	watch   *Watch
	version string

	info, up, age, counted, hosts         *prometheus.Desc
	cpus, reservedCPUs, memory, reserved  *prometheus.Desc
	gpu, holders, foreign, broken         *prometheus.Desc
	processes                             *prometheus.Desc
	utilisation, size, used, temperatures *prometheus.Desc
}

// Registry returns the metrics of a watch, and of this version of the program.
func Registry(version string, w *Watch) *prometheus.Registry {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("berth_"+name, help, labels, nil)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(&numbers{
		watch: w, version: version,
		info:    desc("provision_build_info", "Which version looks at the box.", "version"),
		up:      desc("box_up", "Whether the last look at the box succeeded: the engine has answered."),
		age:     desc("box_age_seconds", "How old the numbers of the box are."),
		counted: desc("box_gpus_counted", "Whether the driver says which GPUs there are."),
		hosts:   desc("box_hosts", "Hosts that provision made, by the engine's word for their state.", "state"),

		cpus:         desc("box_cpus", "Processors of the box."),
		reservedCPUs: desc("box_cpus_reserved", "Processors that containers have reserved."),
		memory:       desc("box_memory_bytes", "Memory of the box."),
		reserved:     desc("box_memory_reserved_bytes", "Memory that containers have reserved."),

		gpu:     desc("gpu_info", "A GPU, or a MIG instance.", "gpu", "uuid", "model", "mig"),
		holders: desc("gpu_holders", "Containers that hold the GPU; 0: it is free.", "gpu", "uuid"),
		foreign: desc("gpu_foreign", "Whether somebody uses the GPU who was not given it.", "gpu", "uuid"),
		broken:  desc("gpu_broken", "Whether the driver asks for something before the GPU works again.", "gpu", "uuid"),

		utilisation:  desc("gpu_utilisation_ratio", "How busy the GPU is, from 0 to 1.", "gpu", "uuid"),
		size:         desc("gpu_memory_bytes", "Memory of the GPU.", "gpu", "uuid"),
		used:         desc("gpu_memory_used_bytes", "Memory of the GPU that is used.", "gpu", "uuid"),
		temperatures: desc("gpu_temperature_celsius", "Temperature of the GPU.", "gpu", "uuid"),
		processes:    desc("gpu_processes", "Processes with memory on the GPU.", "gpu", "uuid"),
	})
	return registry
}

// Describe implements prometheus.Collector.
func (n *numbers) Describe(to chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		n.info, n.up, n.age, n.counted, n.hosts, n.cpus, n.reservedCPUs, n.memory, n.reserved,
		n.gpu, n.holders, n.foreign, n.broken, n.utilisation, n.size, n.used, n.temperatures, n.processes,
	} {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (n *numbers) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrape.Patience)
	defer cancel()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	seen, age, known, err := n.watch.Now(ctx)
	gauge(n.info, 1, n.version)
	gauge(n.up, number(known && err == nil && seen.NoEngine == ""))
	if !known { // old numbers would be taken for present ones
		return
	}
	gauge(n.age, age.Seconds())
	gauge(n.counted, number(seen.NoGPUs == ""))
	if seen.NoEngine == "" {
		n.collectEngine(seen, gauge)
	}
	for _, gpu := range seen.GPUs {
		n.collectGPU(gpu, gauge)
	}
}

// collectEngine exports the numbers that the engine knows.
func (n *numbers) collectEngine(seen Seen, gauge func(*prometheus.Desc, float64, ...string)) {
	for state, count := range seen.Hosts {
		gauge(n.hosts, float64(count), state)
	}
	gauge(n.cpus, float64(seen.Has.NanoCPUs)/1e9)
	gauge(n.reservedCPUs, float64(seen.Reserved.NanoCPUs)/1e9)
	gauge(n.memory, float64(seen.Has.Memory))
	gauge(n.reserved, float64(seen.Reserved.Memory))
}

// collectGPU exports the numbers of one GPU: those of the driver, and its holders if
// they are known.
func (n *numbers) collectGPU(gpu box.DeviceState, gauge func(*prometheus.Desc, float64, ...string)) {
	gauge(n.gpu, 1, gpu.Index, gpu.UUID, gpu.Model, gpu.MIG)
	if gpu.Holders != nil {
		gauge(n.holders, float64(len(gpu.Holders)), gpu.Index, gpu.UUID)
		gauge(n.foreign, number(gpu.IsForeign()), gpu.Index, gpu.UUID)
	}
	gauge(n.broken, number(gpu.Recovery != ""), gpu.Index, gpu.UUID)
	gauge(n.processes, float64(len(gpu.Processes)), gpu.Index, gpu.UUID)
	for _, known := range []struct {
		desc *prometheus.Desc
		is   float64
	}{
		{n.utilisation, float64(gpu.Utilisation) / 100},
		{n.size, float64(gpu.Memory)},
		{n.used, float64(gpu.MemoryUsed)},
		{n.temperatures, float64(gpu.Temperature)},
	} {
		if known.is >= 0 {
			gauge(known.desc, known.is, gpu.Index, gpu.UUID)
		}
	}
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
