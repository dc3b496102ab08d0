package main

import (
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
)

// params are an item's numbers; times are in seconds.
type params map[string]float64

func (p params) get(name string, otherwise float64) float64 {
	if value, told := p[name]; told {
		return value
	}
	return otherwise
}

func (p params) n() int { return int(p.get("n", 20)) }

// item is one thing that happens in a case: `leak KIND rate=R [mix=M min=S max=S]`, `heal KIND rate=R min=S max=S` or `like NAME k=v …`.
type item struct {
	what, name string
	p          params
}

func parse(text string) ([]item, error) {
	var items []item
	for part := range strings.SplitSeq(text, ";") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		if len(words) < 2 {
			return nil, fmt.Errorf("%q is no item", part)
		}
		one := item{words[0], words[1], params{}}
		_, isKind := kinds[one.name]
		_, isLike := likes[one.name]
		if known := map[string]bool{"leak": isKind, "heal": isKind, "like": isLike}[one.what]; !known {
			return nil, fmt.Errorf("there is no %s %q", one.what, one.name)
		}
		for _, word := range words[2:] {
			name, value, _ := strings.Cut(word, "=")
			number, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return nil, fmt.Errorf("%q in %q: %w", word, part, err)
			}
			one.p[name] = number
		}
		items = append(items, one)
	}
	return items, nil
}

// names tells the full names of functions, as they stand in stacks.
func names(functions ...any) []string {
	var told []string
	for _, f := range functions {
		told = append(told, strings.TrimSuffix(runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name(), "-fm"))
	}
	return told
}
