// Package gpu tests hosts with GPUs, on an engine of its own that hands out GPUs
// without having one.
package gpu
