// Command leaks is a web shop in which every leak pattern of the atlas can be switched on by one GET, and beside each
// its innocent twin: code of the same shape that is not a leak.
//
//	/leak/<id>?n=N       leaks N goroutines
//	/innocent/<id>?n=N   does the same work for N callers and leaks nothing
//	/scenarios           lists the ids as JSON
//	/debug/pprof/        net/http/pprof, as in any service
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"strconv"
)

// maxCallers bounds one request: a typing error in a URL must not take the machine down.
const maxCallers = 20000

// scenario is one way to leak and the same work done right. Both functions start work for n callers and return at once.
type scenario struct {
	ID       string `json:"id"`
	Pattern  string `json:"pattern"`
	Leak     string `json:"leak"`
	Innocent string `json:"innocent"`

	leak, innocent func(n int) error
}

var scenarios = map[string]*scenario{}

func register(s *scenario) {
	if s.Pattern == "" {
		s.Pattern = s.ID
	}
	scenarios[s.ID] = s
}

// each calls f for n callers.
func each(n int, f func(i int)) error {
	for i := range n {
		f(i)
	}
	return nil
}

func callers(r *http.Request) (int, error) {
	text := r.URL.Query().Get("n")
	if text == "" {
		return 1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxCallers {
		return 0, fmt.Errorf("n must be 1..%d, not %q", maxCallers, text)
	}
	return n, nil
}

func serve(pick func(*scenario) func(int) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, known := scenarios[r.PathValue("id")]
		if !known {
			http.Error(w, "no such scenario; see /scenarios", http.StatusNotFound)
			return
		}
		n, err := callers(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := pick(s)(n); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%s: %d\n", s.ID, n)
	}
}

func main() {
	addr := flag.String("addr", "127.0.0.1:6060", "listen address, pprof included")
	flag.Parse()

	http.HandleFunc("GET /leak/{id}", serve(func(s *scenario) func(int) error { return s.leak }))
	http.HandleFunc("GET /innocent/{id}", serve(func(s *scenario) func(int) error { return s.innocent }))
	http.HandleFunc("GET /scenarios", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(scenarios)
	})

	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
