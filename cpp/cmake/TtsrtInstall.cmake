# Installs the library, its headers and the CMake package. In a wheel, the prefix is the folder of the Python package.

include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/ttsrt")

# A wheel cannot hold symbolic links, so libttsrt.so would be a second copy of libttsrt.so.<SOVERSION> there. CMake's package and
# _core use the versioned name.
set(namelink)
if(building_wheel)
    set(namelink NAMELINK_SKIP)
endif()
install(TARGETS ttsrt EXPORT ttsrtTargets LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" ${namelink})
install(
    DIRECTORY cpp/include/ttsrt
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING
    PATTERN "*.h"
)
install(EXPORT ttsrtTargets NAMESPACE ttsrt:: DESTINATION "${package_dir}")

configure_package_config_file(
    cpp/cmake/ttsrtConfig.cmake.in
    "${CMAKE_CURRENT_BINARY_DIR}/ttsrtConfig.cmake"
    INSTALL_DESTINATION "${package_dir}"
)
write_basic_package_version_file(
    "${CMAKE_CURRENT_BINARY_DIR}/ttsrtConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion
)
install(
    FILES
        "${CMAKE_CURRENT_BINARY_DIR}/ttsrtConfig.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/ttsrtConfigVersion.cmake"
    DESTINATION "${package_dir}"
)
