// What Go's net/http makes of paths: one of each line of the input, in hex; for each a line with all that a handler may
// see, in hex.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"strings"
)

func main() {
	mux := http.NewServeMux()
	var seen []string
	see := func(text string) { seen = append(seen, hex.EncodeToString([]byte(text))) }
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		see(r.URL.Path)
		// As http.FileServer does.
		see(path.Clean("/" + r.URL.Path))
	})
	mux.HandleFunc("/segments/{one}/{rest...}", func(w http.ResponseWriter, r *http.Request) {
		see("/segments/" + r.PathValue("one") + "/" + r.PathValue("rest"))
	})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		seen = nil
		asked, _ := hex.DecodeString(lines.Text())
		serve := func(target string) *httptest.ResponseRecorder {
			request, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")))
			if err != nil {
				return nil
			}
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, request)
			return answer
		}
		if answer := serve(string(asked)); answer != nil && answer.Code/100 == 3 {
			// The client comes again, as it is told.
			if to, err := url.Parse(answer.Header().Get("Location")); err == nil {
				serve(to.EscapedPath())
			}
		}
		fmt.Println(strings.Join(seen, " "))
	}
}
