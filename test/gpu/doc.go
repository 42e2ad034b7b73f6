// Package gpu tests hosts with GPUs: on an engine of its own that hands out GPUs
// without having one, and on the cards of this box, if it has any.
package gpu
