package compose

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Condition is what a service waits for before it starts.
type Condition string

// service_started is not among them: services start in order.
const (
	Healthy   Condition = types.ServiceConditionHealthy
	Completed Condition = types.ServiceConditionCompletedSuccessfully // its command has ended with code 0
)

// Dependency is a service that another one waits for.
type Dependency struct {
	Container string
	Until     Condition
	Required  bool // if false, it is no error that the condition is never met
}

// dependencies returns what the service waits for, ordered by name.
func (b *builder) dependencies() []Dependency {
	var all []Dependency
	for _, name := range slices.Sorted(maps.Keys(b.compose.DependsOn)) {
		on := b.compose.DependsOn[name]
		_, active := b.Services[name]
		if condition := Condition(on.Condition); active && (condition == Healthy || condition == Completed) {
			all = append(all, Dependency{b.containerName(name), condition, on.Required})
		}
	}
	return all
}
