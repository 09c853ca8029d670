"""conan create packaging/conan --build=missing, from a checkout."""
import os
import re

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load, rmdir


class Pushforward(ConanFile):
    name = "pushforward"
    description = "Normalizing flows in C++20: fit a density to data, sample from it, compute exact log-probabilities"
    license = "BSD-3-Clause"
    settings = "os", "compiler", "build_type", "arch"
    options = {"shared": [True, False], "tool": [True, False], "c_interface": [True, False]}
    default_options = {"shared": False, "tool": False, "c_interface": False}
    package_type = "library"

    @property
    def _root(self):
        return os.path.join(self.recipe_folder, "..", "..")

    def set_version(self):
        self.version = re.search(r"project\(pushforward VERSION ([0-9.]+)", load(self, os.path.join(self._root, "CMakeLists.txt")))[1]

    def export_sources(self):
        for pattern in ("CMakeLists.txt", "LICENSE", "classes.txt", "*.hpp", "*.cpp", "*.h", "*.map", "cmake/*", "tools/*", "c/*"):
            copy(self, pattern, self._root, self.export_sources_folder, excludes=("build*", "tests/*", "python/*", "packaging/*"))

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        # The public headers are Eigen's users.
        self.requires("eigen/[>=3.4]", transitive_headers=True)
        self.requires("highway/[>=1.0.3]")
        self.requires("boost/[>=1.74]", headers=True, libs=False)
        self.requires("fmt/[>=9]")
        self.requires("nlohmann_json/[>=3.11]")
        self.requires("zlib/[>=1.2.11 <2]")
        if self.options.tool:
            self.requires("cli11/[>=2.3]")

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["BUILD_SHARED_LIBS"] = bool(self.options.shared)
        toolchain.cache_variables["PUSHFORWARD_BUILD_TESTS"] = False
        toolchain.cache_variables["PUSHFORWARD_BUILD_SAMPLES"] = False
        toolchain.cache_variables["PUSHFORWARD_BUILD_TOOLS"] = bool(self.options.tool)
        toolchain.cache_variables["PUSHFORWARD_BUILD_C"] = bool(self.options.c_interface)
        toolchain.generate()
        dependencies = CMakeDeps(self)
        dependencies.set_property("highway", "cmake_file_name", "hwy")
        dependencies.set_property("highway::hwy", "cmake_target_name", "hwy::hwy")
        dependencies.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        CMake(self).install()
        for folder in ("lib/cmake", "lib/pkgconfig"):  # Conan makes its own
            rmdir(self, os.path.join(self.package_folder, folder))

    def package_info(self):
        core, ports = self.cpp_info.components["pushforward"], self.cpp_info.components["ports"]
        self.cpp_info.set_property("cmake_file_name", "pushforward")
        core.set_property("cmake_target_name", "pushforward::pushforward")
        core.libs = ["pushforward"]
        core.requires = ["eigen::eigen", "highway::highway", "boost::headers", "fmt::fmt", "nlohmann_json::nlohmann_json", "zlib::zlib"]
        core.system_libs = ["pthread", "m"]
        ports.set_property("cmake_target_name", "pushforward::ports")
        ports.libs = ["pushforward_ports"]
        ports.requires = ["pushforward"]
        if self.options.tool:
            ports.requires.append("cli11::cli11")
        if self.options.c_interface:
            c = self.cpp_info.components["c"]
            c.set_property("cmake_target_name", "pushforward::c")
            c.libs = ["pushforward_c"]
