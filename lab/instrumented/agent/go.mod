module example.com/instrumented/agent

go 1.27

tool github.com/apache/skywalking-go/tools/go-agent/cmd

require github.com/apache/skywalking-go/plugins/core v0.0.0-20250423075209-b7f3404dacc0

require (
	github.com/apache/skywalking-go/tools/go-agent v0.0.0-20250423075209-b7f3404dacc0 // indirect
	github.com/dave/dst v0.27.2 // indirect
	github.com/golang/protobuf v1.5.3 // indirect
	github.com/google/uuid v1.3.0 // indirect
	github.com/kr/text v0.2.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/sirupsen/logrus v1.9.0 // indirect
	go.uber.org/atomic v1.9.0 // indirect
	go.uber.org/multierr v1.8.0 // indirect
	go.uber.org/zap v1.24.0 // indirect
	golang.org/x/mod v0.9.0 // indirect
	golang.org/x/net v0.10.0 // indirect
	golang.org/x/sys v0.8.0 // indirect
	golang.org/x/text v0.9.0 // indirect
	golang.org/x/tools v0.7.0 // indirect
	google.golang.org/genproto v0.0.0-20230410155749-daa745c078e1 // indirect
	google.golang.org/grpc v1.55.0 // indirect
	google.golang.org/protobuf v1.30.0 // indirect
	gopkg.in/yaml.v3 v3.0.1 // indirect
	skywalking.apache.org/repo/goapi v0.0.0-20230314034821-0c5a44bb767a // indirect
)

// The agent's builder (run/_agent_build.py) puts a copy there, with register/register.go in place of its list of plugins.
replace github.com/apache/skywalking-go/tools/go-agent => ./go-agent
