package http

import (
	"net/http"

	"github.com/apache/skywalking-go/plugins/core/operator"
	"github.com/apache/skywalking-go/plugins/core/tracing"
)

// ServedInterceptor makes an entry span of a request served; 5004 is GoHttpServer.
type ServedInterceptor struct{}

// BeforeInvoke is called before serverHandler.ServeHTTP.
func (i *ServedInterceptor) BeforeInvoke(invocation operator.Invocation) error {
	request := invocation.Args()[1].(*http.Request)
	span, err := tracing.CreateEntrySpan(request.Method+":"+request.URL.Path, func(key string) (string, error) {
		return request.Header.Get(key), nil
	},
		tracing.WithLayer(tracing.SpanLayerHTTP),
		tracing.WithTag(tracing.TagHTTPMethod, request.Method),
		tracing.WithTag(tracing.TagURL, request.Host+request.URL.Path),
		tracing.WithComponent(5004))
	if err != nil {
		return err
	}
	invocation.SetContext(span)
	return nil
}

// AfterInvoke is called after it.
func (i *ServedInterceptor) AfterInvoke(invocation operator.Invocation, result ...interface{}) error {
	if invocation.GetContext() != nil {
		invocation.GetContext().(tracing.Span).End()
	}
	return nil
}
