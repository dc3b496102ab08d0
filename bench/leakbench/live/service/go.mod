module example.com/leakbench/service

go 1.27
