module example.com/hostileserver

go 1.24
