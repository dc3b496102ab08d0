module example.com/instrumented/service

go 1.27

require example.com/shop v0.0.0

replace example.com/shop => ../../shop
