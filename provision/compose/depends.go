package compose

import (
	"maps"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
)

// Condition is what a service waits for of another before it starts.
type Condition string

// That it has started needs no waiting: services start in order.
const (
	Healthy   Condition = types.ServiceConditionHealthy
	Completed Condition = types.ServiceConditionCompletedSuccessfully // its command has ended with code 0
)

// Dependency is a service that another waits for.
type Dependency struct {
	Container string
	Until     Condition
	Required  bool // else it is not waited for in vain
}

// dependencies returns what the service waits for, in the order of their names.
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
