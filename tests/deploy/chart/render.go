// Renders a chart as `helm template` does, for machines without it: Go's templates are Helm's, and the
// functions below are those of Helm that the chart uses. Reads values as JSON from standard input.
//
//	go run render.go CHART < values.json
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(value any) int64 {
	switch value := value.(type) {
	case float64:
		return int64(value)
	case int:
		return int64(value)
	}
	return value.(int64)
}

func main() {
	// {"values": …, "chart": …}
	var given struct{ Values, Chart map[string]any }
	must(json.NewDecoder(os.Stdin).Decode(&given))
	chart := map[string]any{"AppVersion": given.Chart["appVersion"], "Version": given.Chart["version"]}
	root := map[string]any{
		"Values":  given.Values,
		"Chart":   chart,
		"Release": map[string]any{"Name": "worker", "Namespace": "default"},
	}
	all := template.New("chart").Option("missingkey=zero")
	all.Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var text strings.Builder
			err := all.ExecuteTemplate(&text, name, data)
			return text.String(), err
		},
		"required": func(why string, value any) (any, error) {
			if value == nil || value == "" {
				return nil, errors.New(why)
			}
			return value, nil
		},
		"fail": func(why string) (string, error) { return "", errors.New(why) },
		"quote": func(value any) string { return fmt.Sprintf("%q", fmt.Sprint(value)) },
		"default": func(other, value any) any {
			if value == nil || value == "" {
				return other
			}
			return value
		},
		"nindent": func(width int, text string) string {
			margin := strings.Repeat(" ", width)
			return "\n" + margin + strings.ReplaceAll(text, "\n", "\n"+margin)
		},
		"toJson": func(value any) (string, error) {
			text, err := json.Marshal(value)
			return string(text), err
		},
		"add": func(a, b any) int64 { return number(a) + number(b) },
		"mul": func(a, b any) int64 { return number(a) * number(b) },
	})
	files, err := filepath.Glob(filepath.Join(os.Args[1], "templates", "*"))
	must(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(err)
		_, err = all.New(filepath.Base(file)).Parse(string(text))
		must(err)
	}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "_") {
			continue
		}
		fmt.Println("---")
		must(all.ExecuteTemplate(os.Stdout, filepath.Base(file), root))
		fmt.Println()
	}
}
