# Debian 12's compiler and libraries.
[settings]
arch=x86_64
build_type=Release
compiler=gcc
compiler.cppstd=20
compiler.libcxx=libstdc++11
compiler.version=12
os=Linux

[platform_requires]
boost/1.74.0
cli11/2.3.2
eigen/3.4.0
fmt/9.1.0
highway/1.0.3
nlohmann_json/3.11.2
zlib/1.2.13
